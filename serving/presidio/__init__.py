"""The interface of Microsoft Presidio's two services, 2.2: its routes, member names and type names.

https://microsoft.github.io/presidio/api-docs/api-docs.html. What differs is in docs/presidio.md.
"""
