"""MedQuAD in, a bundle for the Hub out, in steps that run one after the other: `python -m training STEP CONFIG`.

  prepare  data set -> data/{train,validation,test}.jsonl, data.json           data/load.py, data/splits.py
  train    data + base -> runs/CONFIG/{adapter/, run.json, loss.svg}           data/examples.py, model/
  score    data + base + adapter -> answers-SPLIT.jsonl, scores-SPLIT.json     answers.py, scoring/
  study    trains and scores several configurations and chooses one            scoring/choice.py
  bundle   all of these -> bundle/, exactly what is pushed                     model_card/, release/

To read the code, begin with configs.py and follow the steps in this order.
"""
