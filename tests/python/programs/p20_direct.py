"""The job's model asked directly, a copy of it with other settings, and a history that the program keeps itself."""
import dspy


class Chat(dspy.Module):
    def __init__(self):
        super().__init__()
        self.reply = dspy.Predict("question, history: dspy.History -> answer")

    def forward(self, questions):
        lm, history, said = dspy.settings.lm, dspy.History(messages=[]), []
        for question in questions:
            hint = lm(messages=[{"role": "system", "content": "One word."}, {"role": "user", "content": question}])[0]
            with dspy.context(lm=lm.copy(temperature=0.9, max_tokens=77)):
                got = self.reply(question=f"{question} ({hint})", history=history)
            history.messages.append({"question": question, **got})
            said.append(got.answer)
        return dspy.Prediction(answer=said[-1], said=said, asked=len(lm.history) > 0)


program = Chat
trainset = [dspy.Example(questions=[f"who is {i}?", "and then?", "why?"], answer=f"a{i % 7}").with_inputs("questions") for i in range(8)]
metric = dspy.evaluate.answer_exact_match
