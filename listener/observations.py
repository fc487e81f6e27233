"""What happened: the one typed list of moments worth telling.

Log lines, metrics and the waits of tests all come from these values; nothing else writes to the
log. Each class is one observation: its snake_case name is the event's name, its fields are the
event's fields, and its docstring (`{field}` filled in) is the sentence that people read.
"""
