"""What a measurement is: the ground floor, without any I/O."""
