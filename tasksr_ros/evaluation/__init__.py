"""How well it sees: metrics and what is made of them."""
