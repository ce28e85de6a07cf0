// Package policy decides whether a connection that has found its filter chain
// may go on: rbac, connection_limit and local_rate_limit of the chain, and the
// process's max_connections_per_source. It decides as Envoy's network filters
// of these names do, and knows nothing of sockets and clocks.
//
//	rbac, problems := policy.Compile("listeners[0].filter_chains[0].rbac", rules)
//	if d := rbac.Decide(&facts); !d.Allowed { reset, log d.Details }
//
//	place, ok := limit.Take() // connection_limit
//	defer place.Release()     // at the connection's end, once
//	ok = rate.Take(now)       // local_rate_limit
//
// Everything here is made off the loops and then serves all of them at once.
// Deciding allocates nothing.
//
// It fails closed: what cannot be understood is a problem when it is compiled,
// and a fact that is not known never opens a way in (Facts).
package policy
