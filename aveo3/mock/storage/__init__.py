"""The places where Google keeps videos: Cloud Storage's JSON API and the downloads of the Files API."""
