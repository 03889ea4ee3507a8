"""Dispatch: from a lane to a judged callback.

`dispatcher` starts everything; `exchanging` takes references of lanes from the store and hands results back, one round
trip for many lanes; `lane` is what a worker knows of a lane that it holds; `turns` decides whose turn it is to send.
"""
