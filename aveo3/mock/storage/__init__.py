"""Google's stores of videos: Cloud Storage's JSON API, and the Files API's downloads."""
