"""How the demo models are made: from questions and answers to a checkpoint folder."""
