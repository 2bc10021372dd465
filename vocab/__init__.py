"""Vocabulary of traditional Chinese medicine: term tables as data, their builder, manifest and strict reader.

Standard library only; the one exception is `vocab.characters`, which folds with `tcmstruct.text.normalise`.
"""
