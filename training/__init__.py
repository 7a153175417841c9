"""From MedQuAD to a chat: each step reads what the one before it wrote.

step     reads             writes                                            main function
prepare  a data set        OUT/data/{train,validation,test}.jsonl, data.json prepare.py: prepare
train    data, a base      RUN/adapter/, run.json                            train.py: train
score    data, adapter     RUN/answers-test.jsonl, scores-test.json          score.py: score
bundle   all of these      RUN/bundle/: adapter, card, licences, scores      bundle.py: bundle
publish  the run           a commit on the Hub, verified, then its tag       release/publish.py: publish
Space    that commit       answers, in a browser                             ../space/chat.py: start, answer_steps

RUN is OUT/runs/CONFIG. Each record has one use: to train, to watch the training (validation), or to be asked (test).
`study` trains and scores several configurations and chooses one on validation; `benchmark` and `audit` are in extras/.
publish is scripts/publish.py, all others `python -m training STEP`.

To read the code: contract.toml, configs.py, prepare.py, data/splits.py, ../space/prompt.py, data/examples.py, train.py,
answers.py, scoring/report.py, release/publish.py; then ../space/chat.py, safety.py, serving.py, output_checks.py.
"""
