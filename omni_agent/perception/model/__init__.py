"""The full model as a perception: for each verb one file with its prompt and its parser, over any engine.

    perception   the verbs, each handed to its file
    asker        one question to the engine: streamed, parsed, asked once more where the reply has another form
    reply        what a model writes into values, whatever it writes
    room         how many tokens pictures, sound and text take
    answer, locate, hear, look, minutes

Prompts are files in `omni_agent/prompts`. What comes from a user's files is wrapped as material and never an
instruction.
"""

from omni_agent.perception.model.perception import ModelPerception

__all__ = ["ModelPerception"]
