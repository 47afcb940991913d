"""What omni can perceive: the verbs (base), the specialists (lite), the full model (model), and the choice (choose)."""
