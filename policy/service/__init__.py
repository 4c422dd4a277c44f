"""The controller: tracks live Workflows, keeps the ledgers, releases the queue."""
