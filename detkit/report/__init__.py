"""What people look at: outputs, the exported model, estimates and checks."""
