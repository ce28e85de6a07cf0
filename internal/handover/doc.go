// Package handover moves listening sockets and live connections from one process
// to the next.
package handover
