package handover

import (
	"errors"
	"fmt"
)

// protocol is the number of what docs/upgrade.md describes. Both sides must have
// the same; fields that are added to records do not change it.
const protocol = 1

// kind is the first byte of a message.
type kind byte

// Who sends what, and when, stands in docs/upgrade.md. Numbers are never reused.
const (
	kindHello       kind = 1  // both: hello
	kindListeners   kind = 2  // giver: listenersBody, one descriptor each
	kindReady       kind = 3  // taker: readyBody; bound and ready to accept
	kindAccept      kind = 4  // giver: accept from here on
	kindConnections kind = 5  // giver: []Connection, two descriptors each
	kindTake        kind = 6  // taker: takeBody
	kindTaken       kind = 7  // giver: those are yours
	kindDone        kind = 8  // giver: that was all
	kindOver        kind = 9  // taker: then you may end
	kindOff         kind = 10 // giver, instead of anything later than accept: I accept again

	kindPut    kind = 16 // client: entryBody and descriptors
	kindDrop   kind = 17 // client: entryBody
	kindList   kind = 18 // client: all entries, please
	kindEntry  kind = 19 // holder: entryBody and descriptors
	kindOK     kind = 20 // holder: done
	kindFailed kind = 21 // holder: failedBody
	kindQuit   kind = 22 // client: drop all and exit
)

// Roles that a hello names, so that no daemon takes a holder for its predecessor.
const (
	roleGiver  = "giver"
	roleTaker  = "taker"
	roleHolder = "holder"
	roleClient = "client"
)

type hello struct {
	Protocol int
	Role     string
	Process
}

type listenersBody struct {
	Listeners []ListenerSocket
	More      bool // another message of them follows
}

// readyBody names the listening sockets that the taker accepts from, by their
// places in the giver's list.
type readyBody struct{ Kept []int }

type takeBody struct{ IDs []uint64 }

// Limits of what is received, so that no peer makes this process large.
const (
	maxBody      = 8 << 20 // bytes of one message; a connection has some 2 MiB waiting at most
	maxListeners = 4096    // in all
	maxBatch     = 126     // connections in one message: their descriptors are its most
)

// ErrProtocol is a peer that does not speak this protocol in this version.
var ErrProtocol = errors.New("the other process does not speak this protocol")

// ErrOff is the old process's word that it goes on by itself: it has stopped the
// hand-over and accepts again.
var ErrOff = errors.New("the old process has ended the hand-over and goes on by itself")

// checkHello says why the peer is not the one that is wanted.
func checkHello(h *hello, role string) error {
	if h.Protocol != protocol {
		return fmt.Errorf("%w: it has version %d of it and this one %d; restart instead of upgrading in place",
			ErrProtocol, h.Protocol, protocol)
	}
	if h.Role != role {
		return fmt.Errorf("%w: it is a %q, wanted is a %q; is this the right socket?", ErrProtocol, h.Role, role)
	}
	return nil
}
