"""What a user asks of a run: one function per question, run in, small tidy answer out.

The pages, the command line and the exhibits call these and compute nothing themselves. The science is in
`core.analysis`; this package fetches the arrays, calls it, and keeps the expensive answers in the cache.
"""
