package sock

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// MaxRights is how many descriptors one message can carry (SCM_MAX_FD in
// unix(7)).
const MaxRights = 253

// RightsSpace is the size of the buffer for control messages that receives up to
// n descriptors.
func RightsSpace(n int) int { return unix.CmsgSpace(n * 4) }

// Rights is the control message that carries descriptors over a unix socket
// (SCM_RIGHTS in unix(7)), and nil for none. The receiver gets duplicates; the
// sender keeps its own.
func Rights(fds []int) []byte {
	if len(fds) == 0 {
		return nil
	}
	return unix.UnixRights(fds...)
}

// ParseRights returns the descriptors in a received control message. The caller
// owns them. They are close-on-exec only if the message was received with
// MSG_CMSG_CLOEXEC, as package net does. On an error none is left open.
func ParseRights(control []byte) ([]int, error) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil, fmt.Errorf("reading a control message of %d bytes: %w", len(control), err)
	}
	var fds []int
	for i := range messages {
		if messages[i].Header.Level != unix.SOL_SOCKET || messages[i].Header.Type != unix.SCM_RIGHTS {
			continue
		}
		more, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			CloseAll(fds)
			return nil, fmt.Errorf("reading descriptors in a control message: %w", err)
		}
		fds = append(fds, more...)
	}
	return fds, nil
}

// Peer is who is at the other end of a unix socket.
type Peer struct {
	User    int
	Process int // 0 if it is in a pid namespace that is not visible from here
}

// PeerOf is who is at the other end of a connected unix socket: who called
// connect(2), or listen(2) (SO_PEERCRED in unix(7)).
func PeerOf(fd int) (Peer, error) {
	credentials, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return Peer{}, fmt.Errorf("SO_PEERCRED: %w", err)
	}
	return Peer{User: int(credentials.Uid), Process: int(credentials.Pid)}, nil
}
