"""The floors below over HTTP and in a browser.

Nothing is imported here, so that the command line can use `ohlcv_ta.serving.http.schemas` without a web server:
`ohlcv_ta.serving.http.app.create_app` is the service, `ohlcv_ta.serving.ui.app.create_ui` the app.
"""
