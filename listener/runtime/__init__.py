"""What the process needs to run: stopping, waiting, throttled messages, memory."""
