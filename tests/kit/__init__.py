"""What tests share: servers, scenes, clients that write, proxies that fail, faults."""
