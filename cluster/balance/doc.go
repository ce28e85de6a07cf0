// Package balance decides which member of a cluster a connection goes to: the
// arithmetic of load balancing, and the immutable tables that event loops pick
// from.
//
//	options := balance.OptionsOf(&cfg.Clusters[0])
//	table := balance.Build(members, &options, nil)
//	...
//	table = balance.Build(changed, &options, table) // turns go on where they were
//
//	var tried balance.Tried
//	query := balance.Query{Tried: &tried}
//	choice, ok := table.Pick(&query) // again, after a failed connect, for another one
//
// Members stand in levels of priority. How much load each level gets, which of
// its members take it and when health is ignored (panic) is computed as Envoy
// does (load_balancer_impl.cc, "Priority levels", "Panic threshold" and
// "Locality weighted load balancing" of its documentation); docs/load-balancing.md
// explains it with figures and names what is different.
//
// Building is for whoever watches endpoints; it takes a few milliseconds for
// thousands of members. Picking is for loops: it takes no lock, allocates
// nothing and does not depend on the number of members.
package balance
