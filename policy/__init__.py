"""The quota policy service: pure decisions, sources of policy, the cluster behind them, the controller."""
