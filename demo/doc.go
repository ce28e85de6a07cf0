// Demo shows sluice at work, and checks itself while it does: it makes three
// network namespaces, a client, a pod with an application and a sidecar, and
// a remote service; captures the pod's traffic with sluice iptables; sends
// HTTP with curl and a protocol in which the server speaks first, both ways;
// and prints for each connection what the sidecar's access log and the
// application say of it.
//
//	make demo
//	make demo INTERCEPT=tproxy
//
// It exits with 1 when any connection did not go where it had to, and leaves
// nothing behind.
package main
