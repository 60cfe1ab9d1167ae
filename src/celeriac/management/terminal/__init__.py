"""What the commands share: the command itself, its arguments, who types, the paper that is written on, and times."""
