// Package proxy carries one connection from its filter chain to its close:
// match, pick, dial, relay, and the one record that metrics and access log are
// made from.
//
//	worker := proxy.NewWorker(number, loop, surroundings)  // one for each loop
//	chain := proxy.NewChain(&cfg.FilterChains[0], ...)     // when a configuration is built
//	worker.Serve(accepted, chains)                         // on the loop
//
// A Connection is owned by its worker's loop. Nothing here blocks or locks.
package proxy
