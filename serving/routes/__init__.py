"""The routes of the service, by duty: each module makes one router."""
