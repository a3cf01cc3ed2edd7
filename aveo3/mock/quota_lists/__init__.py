"""The APIs of Google Cloud that list the quotas of a project: Cloud Quotas and Service Usage."""
