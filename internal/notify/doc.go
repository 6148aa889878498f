// Package notify carries alerts out of the recorder: to syslog, to journald, to
// a command, to a webhook, and into a file of lines that is bounded.
//
// A Queue stands before each: it takes what the recorder finds without ever
// waiting, sends one alert after another, no more of them a minute than is
// wanted, and counts what it could not send. What an alert says is made by
// others; this package only knows how it gets there.
package notify
