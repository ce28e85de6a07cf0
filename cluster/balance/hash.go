package balance

import (
	"net/netip"

	"github.com/cespare/xxhash/v2"
)

// Hash is Query.Hash of a client's address. It is the same in every process, so
// that all sidecars send one client to the same member.
func Hash(client netip.Addr) uint64 {
	bytes := client.Unmap().As16()
	return xxhash.Sum64(bytes[:])
}
