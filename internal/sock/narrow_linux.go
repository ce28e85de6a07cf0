package sock

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// DialNarrow is Dial with a receive buffer of about that many bytes (SO_RCVBUF
// in socket(7)). It is set before the first packet, as the window scale is
// agreed on there (tcp(7)). DialOptions.Claim is not asked.
func DialNarrow(remote netip.AddrPort, o *DialOptions, receiveBuffer int) (int, error) {
	fd, err := prepare(remote, o)
	if err != nil {
		return -1, err
	}
	if errno := setInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer); errno != 0 {
		Close(fd)
		return -1, &Error{"SO_RCVBUF for", remote, errno}
	}
	return connect(fd, remote)
}
