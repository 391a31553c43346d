"""What is wrong with a request before it is sent: one row a check, for people, admission, lint and the simulator."""
