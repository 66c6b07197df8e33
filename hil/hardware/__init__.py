"""What touches the world: CAN interfaces and the wall clock that paces them."""
