"""The report: one page of pictures over the tables in the lake. It knows no Dagster.

`figures` reckons what is shown, `charts` draws it, `page` writes it down; what they look like stands in
page.html, page.css and page.js.
"""
