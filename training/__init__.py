"""MedQuAD in, a bundle for the Hub out: each step is `python -m training.<step> CONFIG`, after the one before.

    prepare    data set -> data/{train,validation,test}.jsonl, data.json         data/load.py, data/splits.py
    train      data + base -> runs/<config>/adapter, run.json, loss.svg          data/examples.py, model/load.py
    score      data + base + adapter -> answers-<split>.jsonl, scores-<split>.json   model/generate.py, scoring/
    bundle     all of these -> bundle/, exactly what is pushed                   model_card/, release/files.py

Read `configs.py` first, then the steps in this order.
"""
