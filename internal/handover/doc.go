// Package handover moves listening sockets and live connections from one process
// to the next (docs/upgrade.md).
//
// To a process that is there already, over a unix socket, without losing a byte.
// The old process gives:
//
//	server, err := handover.Listen("/run/sluice/upgrade.sock")
//	giver, err := server.Accept(ctx, say)
//	err = giver.SendListeners(listeners)
//	kept, err := giver.WaitReady()                // the new one accepts from those, stop accepting
//	taken, err := giver.SendConnections(live)     // those are the new one's now
//	err = giver.Done()
//
// and the new one takes:
//
//	taker, err := handover.Dial(ctx, "/run/sluice/upgrade.sock", options)
//	listeners, err := taker.Listeners()
//	err = taker.Ready(kept)                       // accept from here on
//	batch, err := taker.Connections()             // until io.EOF
//	err = taker.Acknowledge(ids)                  // relay those from here on
//
// When a call fails, what was not given stays the old one's, which goes on with it.
// Neither side starts goroutines; each call has a time limit.
//
// To a process that is started after this one was killed, through a Store, which
// keeps duplicates of the sockets: that of systemd, or a Holder. Enrol makes the
// entry of a connection, Recover makes the connection of an entry, if the kernel's
// counts show that no byte was on the way through the dead process.
package handover
