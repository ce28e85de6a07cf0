// Package backend is the server that loads are made against: it echoes, takes
// and gives bytes, and does as little besides as it can, so that what is
// measured is what stands before it.
//
//	server, err := backend.Serve(netip.MustParseAddrPort("127.0.0.1:7000"), 1)
//	...
//	server.Close()
//
// One port serves everything. A client says in a Hello of 32 bytes at the
// beginning of a connection what it is for. There is no goroutine and, once
// connections have come and gone, no allocation for one. A FIN is answered with
// FIN when what had to be answered is; a reset ends the connection.
package backend
