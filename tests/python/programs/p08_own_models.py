"""A redactor on the job's model, an outside model that is asked directly, a catch of all exceptions, and a judge."""
import dspy

outside = dspy.LM("openai/large", api_key="sk-of-nobody")
third = dspy.LM("openai/small", api_key="sk-of-nobody", temperature=0.3)


class Redact(dspy.Signature):
    """Write a request for an outside model that leaks nothing private."""

    user_query = dspy.InputField()
    llm_request = dspy.OutputField()


class Respond(dspy.Signature):
    """Answer the user, with the outside model's answer as inspiration."""

    related_llm_request = dspy.InputField()
    related_llm_response = dspy.InputField()
    user_query = dspy.InputField()
    response = dspy.OutputField()


class Private(dspy.Module):
    def __init__(self):
        super().__init__()
        self.redact, self.respond = dspy.ChainOfThought(Redact), dspy.Predict(Respond)

    def forward(self, user_query):
        try:
            request = self.redact(user_query=user_query).llm_request
            said = outside(request)[0]
            out = self.respond(related_llm_request=request, related_llm_response=said, user_query=user_query).response
        except Exception:
            return dspy.Prediction(llm_request="", llm_response="", response="")
        return dspy.Prediction(llm_request=request, llm_response=said, response=out)


class Judge(dspy.Signature):
    """Is response A at least as good as response B?"""

    user_query = dspy.InputField()
    response_A = dspy.InputField()
    response_B = dspy.InputField()
    judgment: bool = dspy.OutputField()


judge = dspy.ChainOfThought(Judge)
judge.set_lm(third)


def metric(gold, prediction, trace=None):
    return float(judge(user_query=gold.user_query, response_A=prediction.response, response_B=gold.target).judgment)


def program():
    return Private()


trainset = [dspy.Example(user_query=f"help me {i}", target="ok").with_inputs("user_query") for i in range(8)]
