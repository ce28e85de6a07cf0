// Package daemon puts the parts together: it builds what a configuration asks
// for, binds every address before it serves one, runs the event loops, and
// stops without losing connections.
//
//	d, err := daemon.New(daemon.Options{Config: cfg, ...}) // nothing is bound yet
//	err = d.Run(signals)                                   // until a signal or /quitquitquit
package daemon
