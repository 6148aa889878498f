package prlog

// crlf says that lines end as the original's did and its readers expect.
const crlf = true
