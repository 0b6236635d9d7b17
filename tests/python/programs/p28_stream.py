"""A step that is streamed inside of forward, and a log that prints."""
import logging
import sys

import dspy
from docs import questions

logging.basicConfig(stream=sys.stdout, level=logging.INFO, force=True)
log = logging.getLogger("mine")


class Status(dspy.streaming.StatusMessageProvider):
    def tool_start_status_message(self, instance, inputs):
        return "looking"

    def module_start_status_message(self, instance, inputs):
        return f"begin {type(instance).__name__}"


class Streams(dspy.Module):
    def __init__(self):
        super().__init__()
        self.draft = dspy.ChainOfThought("question -> draft")
        self.answer = dspy.Predict("question, draft -> answer")

    def forward(self, question):
        said, last = [], None
        stream = dspy.streamify(self.draft, stream_listeners=[dspy.streaming.StreamListener(signature_field_name="draft")],
                                status_message_provider=Status(), async_streaming=False)
        for chunk in stream(question=question):
            if isinstance(chunk, dspy.Prediction):
                last = chunk
            else:
                said.append(chunk)
        log.info("drafted %s", last.draft)
        print("draft:", last.draft, flush=True)
        return self.answer(question=question, draft=last.draft)


program = Streams
trainset = questions()
metric = dspy.evaluate.answer_exact_match
