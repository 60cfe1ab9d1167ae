"""What teams are told to do by hand, done by the letter, on real workers and against servers that misbehave."""
