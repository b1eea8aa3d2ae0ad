"""Results for people: outputs, the exported model, estimates and checks."""
