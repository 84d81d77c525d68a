"""The finished tables of event logs in an object store that speaks S3, where ``INSIGHTS_STORE`` names one.

``address`` reads the settings, ``bucket`` is the only module that speaks to the store, ``cache`` keeps copies on this
machine, ``keeping`` says which objects a log has. Everything else goes through ``insights.storage``.
"""
