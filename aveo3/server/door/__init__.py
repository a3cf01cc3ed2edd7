"""Google's wire in front of the client: requests are kept at once, and submitted within the quota."""
