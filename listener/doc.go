// Package listener takes connections in: listening sockets, one for each event
// loop, the original destination of what they accept, the limits and the loop
// guard at the door, and the index that chooses a filter chain.
//
//	table, problems := listener.NewTable(cfg.Listeners, registry)
//	for _, ln := range table.Listeners() { ln.Serve = ... }
//	acceptor := listener.NewAcceptor(ln, entrance, ...)
//	err := acceptor.Open() // on its loop
//
// What it accepts goes to the Serve function of the listener that the
// connection belongs to, together with everything that is known by then
// (Accepted).
package listener
