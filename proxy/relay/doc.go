// Package relay moves bytes between the two sockets of one connection, as
// cheaply as is correct at the moment, and ends both the way the peers did.
//
//	shared := relay.NewShared()                     // one for each event loop
//	r.Start(relay.Sockets{downstream, upstream}, shared, meter, timeouts, accepted, now)
//	r.Note(relay.Downstream, events)                // what epoll reported
//	switch r.Move(relay.Downstream, now) {
//	case relay.Again:    // more to do: call Move again when others had their turn
//	case relay.Finished: // both descriptors are closed; r.End says who ended it, and how
//	}
//
// A Relay belongs to one loop's thread. From Start on it owns both descriptors.
//
// Two engines move bytes. Copy reads into the loop's one shared buffer and
// writes at once: small messages cost two system calls. Splice moves a
// sustained flow through a borrowed pipe without copying. An idle relay holds
// neither buffer nor pipe.
//
// What the peers see is what they did: FIN becomes shutdown(SHUT_WR) after the
// last byte, RST becomes RST after the bytes that came before it.
package relay
