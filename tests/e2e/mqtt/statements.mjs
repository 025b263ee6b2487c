// Every numbered normative statement of MQTT 3.1.1 (OASIS, 29 October 2014) and
// 5.0 (7 March 2019): what it says in our own words, whom it binds, and the
// test of mqtt_statements.test.mjs that covers it, or why it cannot be seen
// from outside. Where it binds both sides, the test covers the server's.
//
// A line: number | binds (S server, C client, B both) | words | test's key, or
// - and the reason. 3.1.1 has 141 of them, 5.0 has 251 (number 2.2.1-1 is not
// used). `sections` says how far the numbering of each section goes: compared
// with the appendices B, in which some numbers are written in other ways
// (3.1.1: 3.1.2.7, 3.3.1.-1, 3-8.3-4, 4.1.0.1, 4.3.x.y, 6.0.0.x; 5.0: 4.2-1 in
// the text, 4.2.0-1 in the appendix). Committee drafts of 5.0 number 3.1.2, 3.1.3 and 7 in
// another way; the public lists with 3.1.2-33 or 7.x are of those.
const tests = {
  text: 'texts: what is not UTF-8, and U+0000, closes the connection',
  bom: 'texts: U+FEFF is a character like others',
  long: 'a topic may have 65535 bytes',
  place: 'CONNECT: each field of the payload is what its place says',
  told: 'what the server tells of its limits is what it holds to',
  rights: 'a token without the right: refused as the version can, and nothing is done',
  open: 'a session is there as long as its connection',
  bridge: 'mqtt_bridge.test.mjs: a broker that speaks only 3.1.1 is spoken to in 3.1.1',
  length: 'lengths: an over-long integer is malformed in 5.0, a fifth byte everywhere',
  flags: 'reserved flags of every type close the connection',
  id: 'packet identifiers: answers bear the one of the question, 0 is refused',
  fresh: 'packet identifiers of the server are not in use and first come without DUP',
  first: 'the first packet is CONNECT, and there is one',
  protocol: 'a protocol name or level that is not there is refused',
  connect: 'CONNECT: flags that contradict each other or the payload are refused',
  connack: 'CONNACK comes first, once, and says yes',
  refused: 'a refused CONNECT: no session, closed, and nothing after it is done',
  client: 'client identifiers: 1 to 23 letters and digits, and none',
  takeover: 'a client that connects again takes the place of the old connection',
  alive: 'keep alive: silence of one and a half times it ends the connection',
  session: 'sessions: kept, resumed, and thrown away by a clean start',
  away: 'messages of QoS 1 and 2 wait for a session whose client is away',
  expiry: 'session expiry: 0 ends it with the connection, the seconds after it else',
  restart: 'sessions, queues and retained messages outlive a restart',
  will: 'will: published when the connection breaks, as the client asked',
  nowill: 'will: DISCONNECT takes it away, other codes and errors do not',
  delay: 'will delay: kept back while the session goes on, said when it ends',
  death: 'a will outlives a kill of the server, and waits out its delay over a stop',
  qos: 'a publish is answered as its QoS asks',
  one: 'QoS 1: an identifier whose PUBACK was sent is a new message',
  two: 'QoS 2: a repeated PUBLISH is answered and not delivered again',
  twoout: 'QoS 2 to a subscriber: PUBREL after PUBREC, no PUBLISH after that',
  sent: 'QoS 2: a message once sent does not expire',
  resend: 'resending: on reconnect alone, in order, with DUP and the same identifiers',
  dup: 'DUP of a publisher is not passed on',
  three: 'QoS 3 closes the connection',
  order: 'order: messages of one client, topic and QoS arrive as they were sent',
  name: 'a topic name has no wildcard and is not empty',
  retained: 'retained: the last one is kept, replaced, and taken away by an empty one',
  many: 'retained: a subscription gets all that match, however many',
  handling: 'retain handling: always, for a new subscription, never',
  published: 'retain as published: off clears the flag, on leaves it',
  props: 'properties of a message reach its subscribers as they are, in order',
  lifetime: 'message expiry: passed on as what is left, and then the message is dropped',
  alias: 'topic aliases: all that the server allows, in one connection',
  info: 'response information comes only where it is asked for, reason strings only where wanted',
  small: 'maximum packet size of the client: larger ones are as if sent, strings are left out',
  large: 'maximum packet size of the server: larger ones close the connection',
  receive: 'receive maximum of the client: no more than that is unanswered',
  ours: 'receive maximum of the server: more than that closes the connection',
  subscribe: 'SUBSCRIBE: a code for each filter, in order, and errors close',
  replace: 'subscribing again to a filter replaces the subscription',
  lower: 'a message goes out at the lower one of its QoS and the granted one',
  overlap: 'overlapping subscriptions: one message, at the highest QoS, with all identifiers',
  subid: 'a client must not send a subscription identifier with a message',
  local: 'no local: own messages do not come back',
  unsubscribe: 'UNSUBSCRIBE: an answer for each, messages stop, errors close',
  begun: 'UNSUBSCRIBE completes what was begun',
  match: 'topics match filters byte by byte and level by level',
  filter: 'filters: wildcards fill a level, # is the last, and none is empty',
  share: 'shared subscriptions: one member gets each message, at its own QoS',
  stays: 'shared subscriptions: a delivery of QoS 2 stays with its session',
  sharename: 'shared subscriptions: a name of the right form',
  ping: 'a PINGREQ is answered',
  bye: 'DISCONNECT: nothing is said afterwards, the connection is closed',
  auth: 'AUTH and methods that are not there are refused',
  violation: 'violations close the connection they come on, and no other',
  ws: 'WebSocket: binary frames, packets across them, the name mqtt',
};

const v311 = `
1.5.3-1 | B | a text is well-formed UTF-8 without surrogates, else close | text
1.5.3-2 | B | a text has no U+0000, else close | text
1.5.3-3 | B | the bytes EF BB BF mean U+FEFF and are not dropped | bom
2.2.2-1 | B | reserved flag bits have the listed values | flags
2.2.2-2 | B | wrong flags close the connection | flags
2.3.1-1 | B | SUBSCRIBE, UNSUBSCRIBE and PUBLISH over QoS 0 have an identifier that is not 0 | id
2.3.1-2 | C | a new packet of these gets an identifier that is not in use | - a duty of the client; 4.3.2-2 and 4.3.3-2 show what the server does with one in use
2.3.1-3 | C | what is sent again keeps its identifier | - a duty of the client
2.3.1-4 | S | the same holds for a server's PUBLISH over QoS 0 | fresh
2.3.1-5 | B | a PUBLISH of QoS 0 has no identifier | lower
2.3.1-6 | B | PUBACK, PUBREC and PUBREL bear the identifier of the PUBLISH | id
2.3.1-7 | S | SUBACK and UNSUBACK bear that of their question | id
3.1.0-1 | C | the first packet of a client is CONNECT | first
3.1.0-2 | S | a second CONNECT is a violation and disconnects | first
3.1.2-1 | S | another protocol name is not gone on with by this standard | protocol
3.1.2-2 | S | a level that is not supported is told by code 1 and disconnects | protocol
3.1.2-3 | S | the reserved connect flag is checked, and disconnects when set | connect
3.1.2-4 | S | without clean session the old session goes on, or a new one is made, and it is kept afterwards | session
3.1.2-5 | S | QoS 1 and 2 for a kept session whose client is away are stored | away
3.1.2-6 | B | clean session throws the old one away and lasts as long as the connection | session
3.1.2-7 | S | retained messages are no part of a session and stay | retained
3.1.2-8 | S | a will is stored and published when the connection ends without DISCONNECT | death
3.1.2-9 | B | with the will flag, topic and message of the will are there | connect
3.1.2-10 | S | a will goes once it is published or DISCONNECT came | nowill
3.1.2-11 | B | without the will flag, its QoS, retain and fields are not there | connect
3.1.2-12 | S | without the will flag no will is published | nowill
3.1.2-13 | C | without the will flag its QoS is 0 | connect
3.1.2-14 | C | the QoS of a will is not 3 | connect
3.1.2-15 | C | without the will flag its retain flag is 0 | connect
3.1.2-16 | S | a will without retain is published as an ordinary message | will
3.1.2-17 | S | a will with retain is published as a retained one | will
3.1.2-18 | C | without its flag there is no user name | connect
3.1.2-19 | C | with its flag there is a user name | connect
3.1.2-20 | C | without its flag there is no password | connect
3.1.2-21 | C | with its flag there is a password | connect
3.1.2-22 | C | no password flag without the user name's | connect
3.1.2-23 | C | a silent client sends PINGREQ within the keep alive | - a duty of the client; 3.1.2-24 is what the server does
3.1.2-24 | S | silence of 1.5 times the keep alive disconnects as a broken network does | alive
3.1.3-1 | C | fields of the payload have their order | place
3.1.3-2 | B | the client identifier names the state of both sides | session
3.1.3-3 | C | the client identifier is there and comes first | place
3.1.3-4 | C | the client identifier is UTF-8 | text
3.1.3-5 | S | 1 to 23 bytes of letters and digits are allowed as client identifier | client
3.1.3-6 | S | where an empty client identifier is allowed, a unique one is given | client
3.1.3-7 | C | an empty client identifier comes with clean session | client
3.1.3-8 | S | an empty one without clean session gets code 2 and is closed | client
3.1.3-9 | S | a rejected client identifier gets code 2 and is closed | client
3.1.3-10 | C | a will topic is UTF-8 | text
3.1.3-11 | C | a user name is UTF-8 | text
3.1.4-1 | S | a CONNECT against section 3.1 is closed without CONNACK | connect
3.1.4-2 | S | a client already connected under the identifier is disconnected | takeover
3.1.4-3 | S | clean session is done as 3.1.2.4 says | session
3.1.4-4 | S | a good CONNECT gets CONNACK with code 0 | connack
3.1.4-5 | S | after a rejected CONNECT no data is processed | refused
3.2.0-1 | S | the first packet of the server is CONNACK | connack
3.2.2-1 | S | with clean session, session present is 0 | session
3.2.2-2 | S | without it and with a stored session, session present is 1 | session
3.2.2-3 | S | without a stored session it is 0 | session
3.2.2-4 | S | with a code other than 0 it is 0 | refused
3.2.2-5 | S | a code other than 0 is followed by closing | refused
3.2.2-6 | S | where no code fits, the connection is closed without CONNACK | connect
3.3.1-1 | B | a PUBLISH sent again has DUP | resend
3.3.1-2 | B | QoS 0 has no DUP | dup
3.3.1-3 | S | DUP of the server's PUBLISH depends only on its own sending | dup
3.3.1-4 | B | QoS 3 closes the connection | three
3.3.1-5 | S | a PUBLISH with retain is stored with its QoS for later subscribers | retained
3.3.1-6 | S | a new subscription gets the last retained message of each topic | many
3.3.1-7 | S | QoS 0 with retain discards what was retained before | retained
3.3.1-8 | S | what a new subscription brings has the retain flag | retained
3.3.1-9 | S | what an established one brings has none | retained
3.3.1-10 | S | an empty retained message is delivered and takes away the one there | retained
3.3.1-11 | S | an empty retained message is not stored | retained
3.3.1-12 | S | without the retain flag nothing retained changes | retained
3.3.2-1 | B | the topic is the first field of a PUBLISH, in UTF-8 | text
3.3.2-2 | B | a topic name has no wildcards | name
3.3.2-3 | S | the topic sent matches the subscriber's filter | match
3.3.4-1 | B | a PUBLISH is answered as its QoS says | qos
3.3.5-1 | S | overlapping subscriptions deliver at the highest QoS of them | overlap
3.3.5-2 | S | a PUBLISH that is not authorized is acknowledged all the same, or closed | rights
3.6.1-1 | B | PUBREL has flags 0010, else close | flags
3.8.1-1 | B | SUBSCRIBE has flags 0010, else close | flags
3.8.3-1 | C | filters of SUBSCRIBE are UTF-8 | text
3.8.3-2 | S | filters with wildcards are supported, or refused | match
3.8.3-3 | B | a SUBSCRIBE has a filter | subscribe
3.8.3-4 | S | reserved bits or QoS 3 in a SUBSCRIBE close | subscribe
3.8.4-1 | S | SUBSCRIBE is answered by SUBACK | subscribe
3.8.4-2 | S | SUBACK bears the identifier of its SUBSCRIBE | id
3.8.4-3 | S | an equal filter replaces the subscription, retained ones come again, nothing is lost | replace
3.8.4-4 | S | several filters are as several SUBSCRIBEs with one answer | subscribe
3.8.4-5 | S | SUBACK has for each filter the granted QoS, or failure | told
3.8.4-6 | S | messages go out at the lower one of published and granted QoS | lower
3.9.3-1 | S | codes of SUBACK are in the order of the filters | subscribe
3.9.3-2 | S | SUBACK has no other codes than 0, 1, 2 and 0x80 | told
3.10.1-1 | B | UNSUBSCRIBE has flags 0010, else close | flags
3.10.3-1 | C | filters of UNSUBSCRIBE are UTF-8 | text
3.10.3-2 | B | an UNSUBSCRIBE has a filter | unsubscribe
3.10.4-1 | S | filters to drop are compared byte by byte | unsubscribe
3.10.4-2 | S | a dropped subscription brings no new messages | unsubscribe
3.10.4-3 | S | QoS 1 and 2 that were begun are completed | begun
3.10.4-4 | S | UNSUBACK comes with the identifier of its UNSUBSCRIBE | id
3.10.4-5 | S | UNSUBACK comes also where nothing was dropped | unsubscribe
3.10.4-6 | S | several filters are as several UNSUBSCRIBEs with one answer | unsubscribe
3.12.4-1 | S | PINGREQ is answered by PINGRESP | ping
3.14.1-1 | S | reserved bits of DISCONNECT are checked | flags
3.14.4-1 | C | after DISCONNECT the client closes | - a duty of the client; the server closes by itself, see 3.14.4-2
3.14.4-2 | C | after DISCONNECT the client sends nothing more | bye
3.14.4-3 | S | DISCONNECT discards the will | nowill
4.1.0-1 | B | both sides keep the session's state as long as it lasts | restart
4.1.0-2 | B | a session lasts at least as long as its connection | open
4.3.1-1 | B | QoS 0 is sent with QoS 0 and DUP 0 | lower
4.3.2-1 | B | the sender of QoS 1: a free identifier, DUP 0, unacknowledged until PUBACK | resend
4.3.2-2 | B | the receiver of QoS 1: PUBACK once it owns the message; the identifier is free then | one
4.3.3-1 | B | the sender of QoS 2: a free identifier, PUBREL after PUBREC, no PUBLISH after PUBREL | twoout
4.3.3-2 | B | the receiver of QoS 2: PUBREC again for a repetition, no second delivery, PUBCOMP, then free | two
4.4.0-1 | B | what is unacknowledged is sent again on reconnect, with its identifier | resend
4.5.0-1 | S | a message taken over is added to all sessions with matching subscriptions | away
4.5.0-2 | C | a client acknowledges what it gets | - a duty of the client
4.6.0-1 | C | a client sends again in the first order | - a duty of the client; the server keeps it too, see 4.6.0-6
4.6.0-2 | C | a client's PUBACKs are in the order of the PUBLISHes | order
4.6.0-3 | C | a client's PUBRECs are in the order of the PUBLISHes | order
4.6.0-4 | C | a client's PUBRELs are in the order of the PUBRECs | - a duty of the client
4.6.0-5 | S | topics are ordered unless an administrator says otherwise | order
4.6.0-6 | S | messages of a client, topic and QoS are delivered in the order received | order
4.7.1-1 | B | wildcards are for filters alone | name
4.7.1-2 | B | # is alone or behind a /, and last | filter
4.7.1-3 | B | + fills a whole level | filter
4.7.2-1 | S | a filter that begins with a wildcard takes no topic that begins with $ | match
4.7.3-1 | B | names and filters have at least one character | filter
4.7.3-2 | B | names and filters have no U+0000 | text
4.7.3-3 | B | names and filters have at most 65535 bytes | long
4.7.3-4 | S | matching changes nothing about names and filters | match
4.8.0-1 | B | a violation closes the connection it came on | violation
4.8.0-2 | B | a transient error while a packet is processed closes the connection | told
6.0.0-1 | B | over WebSocket packets are in binary frames, others close | ws
6.0.0-2 | B | packets and frames need not begin together | ws
6.0.0-3 | C | a client offers the subprotocol mqtt | ws
6.0.0-4 | S | the server chooses the subprotocol mqtt | ws
7.0.0-1 | S | a server that connects to servers is a good client, too | bridge
7.0.0-2 | B | no extension is needed to work together | qos
7.1.1-1 | S | the server has a transport of ordered, lossless bytes both ways | order
7.1.2-1 | C | the client has such a transport | - a duty of the client
`;

const v5 = `
1.5.4-1 | B | a text is well-formed UTF-8 without surrogates | text
1.5.4-2 | B | a text has no U+0000 | text
1.5.4-3 | B | the bytes EF BB BF mean U+FEFF and are not dropped | bom
1.5.5-1 | B | a variable byte integer has its shortest form | length
1.5.7-1 | B | both texts of a pair are good texts | text
2.1.3-1 | B | reserved flag bits have the listed values | flags
2.2.1-2 | B | a PUBLISH of QoS 0 has no identifier | lower
2.2.1-3 | C | SUBSCRIBE, UNSUBSCRIBE and PUBLISH over QoS 0 have an identifier that is not 0 and not in use | id
2.2.1-4 | S | a server's PUBLISH over QoS 0 has one that is not 0 and not in use | fresh
2.2.1-5 | B | the four acknowledgements bear the identifier of the PUBLISH | id
2.2.1-6 | S | SUBACK and UNSUBACK bear that of their question | id
2.2.2-1 | B | no properties are told by a length of 0 | lower
3.1.0-1 | C | the first packet of a client is CONNECT | first
3.1.0-2 | S | a second CONNECT is a protocol error and closes | first
3.1.2-1 | S | another protocol name may be told by 0x84, and is closed | protocol
3.1.2-2 | S | another version may be told by 0x84, and is closed | protocol
3.1.2-3 | S | the reserved connect flag is 0, else malformed | connect
3.1.2-4 | S | clean start throws the old session away | session
3.1.2-5 | S | without clean start an old session goes on | session
3.1.2-6 | S | without clean start and an old session a new one is made | session
3.1.2-7 | S | a will is stored with the session | death
3.1.2-8 | S | it is published after the connection closed, at its delay or the session's end, unless taken away | delay
3.1.2-9 | B | with the will flag its properties, topic and payload are there | connect
3.1.2-10 | S | a will goes once it is published or DISCONNECT 0x00 came | nowill
3.1.2-11 | C | without the will flag its QoS is 0 | connect
3.1.2-12 | C | the QoS of a will is not 3 | connect
3.1.2-13 | C | without the will flag its retain flag is 0 | connect
3.1.2-14 | S | a will without retain is published as an ordinary message | will
3.1.2-15 | S | a will with retain is published as a retained one | will
3.1.2-16 | C | without its flag there is no user name | connect
3.1.2-17 | C | with its flag there is a user name | connect
3.1.2-18 | C | without its flag there is no password | connect
3.1.2-19 | C | with its flag there is a password | connect
3.1.2-20 | C | a silent client sends PINGREQ within the keep alive | - a duty of the client; 3.1.2-22 is what the server does
3.1.2-21 | C | a client uses the server's keep alive where it got one | - a duty of the client
3.1.2-22 | S | silence of 1.5 times the keep alive closes as a broken network does | alive
3.1.2-23 | B | a session is kept after the connection when its expiry is over 0 | session
3.1.2-24 | S | nothing larger than the client's maximum packet size is sent | small
3.1.2-25 | S | a message too large is dropped as if it were sent | small
3.1.2-26 | S | no alias over the client's maximum is sent | alias
3.1.2-27 | S | no alias at all where the client gave no maximum | alias
3.1.2-28 | S | no response information where it is not asked for | info
3.1.2-29 | S | no reason strings and user properties on most packets where they are not wanted | info
3.1.2-30 | C | during an authentication a client sends only AUTH and DISCONNECT | - the server knows no method: there is no such exchange
3.1.3-1 | C | fields of the payload have their order | place
3.1.3-2 | B | the client identifier names the state of both sides | session
3.1.3-3 | C | the client identifier is there and comes first | place
3.1.3-4 | C | the client identifier is UTF-8 | text
3.1.3-5 | S | 1 to 23 bytes of letters and digits are allowed as client identifier | client
3.1.3-6 | S | where an empty client identifier is allowed, a unique one is given | client
3.1.3-7 | S | it is told in CONNACK and used as if the client had sent it | client
3.1.3-8 | S | a rejected client identifier may be told by 0x85, and is closed | client
3.1.3-9 | S | a client back within the will delay keeps the will unsaid | delay
3.1.3-10 | S | user properties of a will keep their order | will
3.1.3-11 | C | a will topic is UTF-8 | text
3.1.3-12 | C | a user name is UTF-8 | text
3.1.4-1 | S | a CONNECT against section 3.1 is closed | connect
3.1.4-2 | S | further checks that fail close | rights
3.1.4-3 | S | a client already connected is told 0x8E and closed | takeover
3.1.4-4 | S | clean start is done | session
3.1.4-5 | S | a good CONNECT gets CONNACK 0x00 | connack
3.1.4-6 | S | after a rejected CONNECT nothing but AUTH is processed | refused
3.2.0-1 | S | CONNACK 0x00 comes before all else but AUTH | connack
3.2.0-2 | S | there is one CONNACK | connack
3.2.2-1 | S | the reserved acknowledge flags are 0 | connack
3.2.2-2 | S | with clean start, session present is 0 | session
3.2.2-3 | S | without it, session present is whether there is one | session
3.2.2-4 | C | a client without state closes when told of a session | - a duty of the client
3.2.2-5 | C | a client with state drops it when told of none | - a duty of the client
3.2.2-6 | S | a refusal has session present 0 | refused
3.2.2-7 | S | a reason of 0x80 or more is followed by closing | refused
3.2.2-8 | S | CONNACK has one of its reason codes | refused
3.2.2-9 | S | a server without QoS 1 or 2 says its maximum | connack
3.2.2-10 | S | such a server takes subscriptions of any QoS | lower
3.2.2-11 | C | a client publishes at no QoS over that maximum | - the server has QoS 2
3.2.2-12 | S | a will over the server's QoS is refused | - the server has QoS 2
3.2.2-13 | S | a will with retain is refused where there is no retaining | - the server has retained messages
3.2.2-14 | C | a client does not retain where there is no retaining | - the server has retained messages
3.2.2-15 | C | a client sends nothing larger than the server's maximum | large
3.2.2-16 | S | a given client identifier is of no other session | client
3.2.2-17 | C | a client uses no alias over the server's maximum | alias
3.2.2-18 | C | and none where the server gave no maximum | - the server always gives one: its setting is at least 1
3.2.2-19 | S | a reason string that makes CONNACK too large is left out | small
3.2.2-20 | S | a user property that makes CONNACK too large is left out | small
3.2.2-21 | C | a client uses the server's keep alive | - a duty of the client
3.2.2-22 | S | without one of its own the server uses the client's keep alive | alive
3.3.1-1 | B | a PUBLISH sent again has DUP | resend
3.3.1-2 | B | QoS 0 has no DUP | dup
3.3.1-3 | S | DUP of the server's PUBLISH depends only on its own sending | dup
3.3.1-4 | B | a PUBLISH has not both QoS bits | three
3.3.1-5 | S | a PUBLISH with retain replaces what is retained for the topic | retained
3.3.1-6 | S | an empty retained message is delivered and takes away the one there | retained
3.3.1-7 | S | an empty retained message is not stored | retained
3.3.1-8 | S | without the retain flag nothing retained changes | retained
3.3.1-9 | S | retain handling 0 sends what is retained and matches | many
3.3.1-10 | S | retain handling 1 does so for a new subscription only | handling
3.3.1-11 | S | retain handling 2 does not | handling
3.3.1-12 | S | without retain as published the flag is cleared | published
3.3.1-13 | S | with it the flag is as published | published
3.3.2-1 | B | the topic is the first field of a PUBLISH, in UTF-8 | text
3.3.2-2 | B | a topic name has no wildcards | name
3.3.2-3 | S | the topic sent matches the subscriber's filter | match
3.3.2-4 | S | the payload format indicator is passed on unaltered | props
3.3.2-5 | S | a copy that expired before its delivery began is deleted | lifetime
3.3.2-6 | S | the interval passed on is what is left of it | lifetime
3.3.2-7 | B | aliases do not outlive their connection | alias
3.3.2-8 | B | alias 0 is not sent | alias
3.3.2-9 | C | a client sends no alias over the server's maximum | alias
3.3.2-10 | C | a client takes every alias up to its maximum | - a duty of the client
3.3.2-11 | S | a server sends no alias over the client's maximum | alias
3.3.2-12 | S | a server takes every alias up to its maximum | alias
3.3.2-13 | C | a response topic is UTF-8 | text
3.3.2-14 | C | a response topic has no wildcards | name
3.3.2-15 | S | the response topic is passed on unaltered | props
3.3.2-16 | S | the correlation data is passed on unaltered | props
3.3.2-17 | S | user properties are passed on unaltered | props
3.3.2-18 | S | and in their order | props
3.3.2-19 | C | a content type is UTF-8 | text
3.3.2-20 | S | the content type is passed on unaltered | props
3.3.4-1 | B | a PUBLISH is answered as its QoS says | qos
3.3.4-2 | S | overlapping subscriptions deliver at the highest QoS of them | overlap
3.3.4-3 | S | subscription identifiers of the matching subscriptions go along | overlap
3.3.4-4 | S | a single copy has those of all | overlap
3.3.4-5 | S | several copies have each that of its subscription | share
3.3.4-6 | C | a client's PUBLISH has no subscription identifier | subid
3.3.4-7 | C | a client keeps to the server's receive maximum | ours
3.3.4-8 | C | a client goes on with other packets then | ours
3.3.4-9 | S | a server keeps to the client's receive maximum | receive
3.3.4-10 | S | a server goes on with other packets then | receive
3.4.2-1 | B | PUBACK has one of its reason codes | qos
3.4.2-2 | B | a reason string that makes PUBACK too large is left out | small
3.4.2-3 | B | a user property that makes PUBACK too large is left out | small
3.5.2-1 | B | PUBREC has one of its reason codes | qos
3.5.2-2 | B | a reason string that makes PUBREC too large is left out | small
3.5.2-3 | B | a user property that makes PUBREC too large is left out | small
3.6.1-1 | B | PUBREL has flags 0010, else close | flags
3.6.2-1 | B | PUBREL has one of its reason codes | twoout
3.6.2-2 | B | a reason string that makes PUBREL too large is left out | small
3.6.2-3 | B | a user property that makes PUBREL too large is left out | small
3.7.2-1 | B | PUBCOMP has one of its reason codes | two
3.7.2-2 | B | a reason string that makes PUBCOMP too large is left out | small
3.7.2-3 | B | a user property that makes PUBCOMP too large is left out | small
3.8.1-1 | B | SUBSCRIBE has flags 0010, else close | flags
3.8.3-1 | C | filters of SUBSCRIBE are UTF-8 | text
3.8.3-2 | B | a SUBSCRIBE has a filter | subscribe
3.8.3-3 | S | no local keeps a client's own messages from it | local
3.8.3-4 | B | no local on a shared subscription is a protocol error | local
3.8.3-5 | S | reserved bits of the options make a SUBSCRIBE malformed | subscribe
3.8.4-1 | S | SUBSCRIBE is answered by SUBACK | subscribe
3.8.4-2 | S | SUBACK bears the identifier of its SUBSCRIBE | id
3.8.4-3 | S | an equal filter replaces the subscription | replace
3.8.4-4 | S | with retain handling 0 retained ones come again, and nothing is lost | replace
3.8.4-5 | S | several filters are as several SUBSCRIBEs with one answer | subscribe
3.8.4-6 | S | SUBACK has a code for each filter | subscribe
3.8.4-7 | S | it is the granted QoS, or a failure | told
3.8.4-8 | S | messages go out at the lower one of published and granted QoS | lower
3.9.2-1 | S | a reason string that makes SUBACK too large is left out | - no SUBACK of ours has one
3.9.2-2 | S | a user property that makes SUBACK too large is left out | small
3.9.3-1 | S | codes of SUBACK are in the order of the filters | subscribe
3.9.3-2 | S | SUBACK has codes of its own for each filter | told
3.10.1-1 | B | UNSUBSCRIBE has flags 0010, else close | flags
3.10.3-1 | C | filters of UNSUBSCRIBE are UTF-8 | text
3.10.3-2 | B | an UNSUBSCRIBE has a filter | unsubscribe
3.10.4-1 | S | filters to drop are compared character by character | unsubscribe
3.10.4-2 | S | a dropped subscription brings no new messages | unsubscribe
3.10.4-3 | S | QoS 1 and 2 that were begun are completed | begun
3.10.4-4 | S | UNSUBSCRIBE is answered by UNSUBACK | unsubscribe
3.10.4-5 | S | with its identifier, also where nothing was dropped | id
3.10.4-6 | S | several filters are as several UNSUBSCRIBEs with one answer | unsubscribe
3.11.2-1 | S | a reason string that makes UNSUBACK too large is left out | - no UNSUBACK of ours has one
3.11.2-2 | S | a user property that makes UNSUBACK too large is left out | small
3.11.3-1 | S | codes of UNSUBACK are in the order of the filters | unsubscribe
3.11.3-2 | S | UNSUBACK has codes of its own for each filter | unsubscribe
3.12.4-1 | S | PINGREQ is answered by PINGRESP | ping
3.14.0-1 | S | no DISCONNECT before a CONNACK below 0x80 | first
3.14.1-1 | B | reserved bits of DISCONNECT are 0, else 0x81 | flags
3.14.2-1 | B | DISCONNECT has one of its reason codes | bye
3.14.2-2 | S | a server's DISCONNECT has no session expiry | takeover
3.14.2-3 | B | a reason string that makes DISCONNECT too large is left out | small
3.14.2-4 | B | a user property that makes DISCONNECT too large is left out | small
3.14.4-1 | B | after DISCONNECT nothing more is sent | violation
3.14.4-2 | B | who sends DISCONNECT closes | violation
3.14.4-3 | S | DISCONNECT 0x00 discards the will | nowill
3.15.1-1 | B | AUTH has flags 0000, else close | flags
3.15.2-1 | B | AUTH has one of its reason codes | auth
3.15.2-2 | B | a reason string that makes AUTH too large is left out | - the server knows no method and sends no AUTH
3.15.2-3 | B | a user property that makes AUTH too large is left out | - the server knows no method and sends no AUTH
4.1.0-1 | B | a session is not thrown away while its connection is open | open
4.1.0-2 | S | it is when the connection is closed and its expiry has passed | expiry
4.2.0-1 | B | there is a transport of ordered, lossless bytes both ways | order
4.3.1-1 | B | QoS 0 is sent with QoS 0 and DUP 0 | lower
4.3.2-1 | B | QoS 1 gets a free identifier | fresh
4.3.2-2 | B | it is sent with QoS 1 and DUP 0 first | fresh
4.3.2-3 | B | it is unacknowledged until PUBACK | resend
4.3.2-4 | B | PUBACK bears its identifier, once the message is owned | qos
4.3.2-5 | B | after PUBACK the identifier is one of a new message | one
4.3.3-1 | B | QoS 2 gets a free identifier | fresh
4.3.3-2 | B | it is sent with QoS 2 and DUP 0 first | twoout
4.3.3-3 | B | it is unacknowledged until PUBREC | twoout
4.3.3-4 | B | a PUBREC below 0x80 gets PUBREL with the identifier | twoout
4.3.3-5 | B | PUBREL is unacknowledged until PUBCOMP | twoout
4.3.3-6 | B | after PUBREL the PUBLISH is not sent again | twoout
4.3.3-7 | B | what was sent does not expire | sent
4.3.3-8 | B | PUBREC bears the identifier, once the message is owned | two
4.3.3-9 | B | after a PUBREC of 0x80 or more the identifier is one of a new message | rights
4.3.3-10 | B | until PUBREL a repetition gets PUBREC and no second delivery | two
4.3.3-11 | B | PUBREL gets PUBCOMP with the identifier | two
4.3.3-12 | B | after PUBCOMP the identifier is one of a new message | two
4.3.3-13 | B | the exchange is completed also for a message that expired | two
4.4.0-1 | B | what is unacknowledged is sent again on reconnect and at no other time | resend
4.4.0-2 | B | a PUBACK or PUBREC of 0x80 or more acknowledges it | twoout
4.5.0-1 | S | a message taken over is added to all sessions with matching subscriptions | away
4.5.0-2 | C | a client acknowledges what it gets | - a duty of the client
4.6.0-1 | C | a client sends again in the first order | - a duty of the client; the server keeps it too, see 4.6.0-5
4.6.0-2 | C | a client's PUBACKs are in the order of the PUBLISHes | order
4.6.0-3 | C | a client's PUBRECs are in the order of the PUBLISHes | order
4.6.0-4 | C | a client's PUBRELs are in the order of the PUBRECs | - a duty of the client
4.6.0-5 | S | messages of a client, topic and QoS are delivered in the order received | order
4.6.0-6 | S | topics are ordered for subscriptions that are not shared | order
4.7.0-1 | B | wildcards are for filters alone | name
4.7.1-1 | B | # is alone or behind a /, and last | filter
4.7.1-2 | B | + fills a whole level | filter
4.7.2-1 | S | a filter that begins with a wildcard takes no topic that begins with $ | match
4.7.3-1 | B | names and filters have at least one character | filter
4.7.3-2 | B | names and filters have no U+0000 | text
4.7.3-3 | B | names and filters have at most 65535 bytes | long
4.7.3-4 | S | matching changes nothing about names and filters | match
4.8.2-1 | B | a shared filter begins with $share/ and a name | sharename
4.8.2-2 | B | the name has no / + #, and a / and a filter follow | sharename
4.8.2-3 | S | each member gets messages at its own granted QoS | share
4.8.2-4 | S | a delivery of QoS 2 cut off is completed when its client is back | stays
4.8.2-5 | S | when that session ends it goes to nobody else | stays
4.8.2-6 | S | a refusal discards it, nobody else gets it | stays
4.9.0-1 | B | the first send quota is not 0 and not over the receive maximum | receive
4.9.0-2 | B | at 0 no PUBLISH over QoS 0 is sent | receive
4.9.0-3 | B | at 0 all else goes on | receive
4.12.0-1 | S | a method that is not there may be told by 0x8C, and is closed | auth
4.12.0-2 | S | an AUTH that wants more has code 0x18 | - the server knows no method and sends no AUTH
4.12.0-3 | C | a client answers with AUTH 0x18 | - the server knows no method and sends no AUTH
4.12.0-4 | S | a failed authentication may be told by CONNACK, and is closed | auth
4.12.0-5 | B | all packets of an authentication name its method | - the server knows no method: there is no such exchange
4.12.0-6 | S | without a method in CONNECT the server sends none and no AUTH | auth
4.12.0-7 | C | and neither does the client | auth
4.12.1-1 | C | authenticating again uses the same method | auth
4.12.1-2 | S | when that fails the connection is closed | auth
4.13.1-1 | S | malformed packets and protocol errors close the connection | violation
4.13.2-1 | B | CONNACK and DISCONNECT of 0x80 or more are followed by closing | violation
6.0.0-1 | B | over WebSocket packets are in binary frames, others close | ws
6.0.0-2 | B | packets and frames need not begin together | ws
6.0.0-3 | C | a client offers the subprotocol mqtt | ws
6.0.0-4 | S | the server chooses the subprotocol mqtt | ws
`;

const binds = { S: 'server', C: 'client', B: 'both' };
const read = (version, lines) => lines.trim().split('\n').map((line) => {
  const [id, who, says, how, ...rest] = line.split(' | ');
  if (rest.length > 0 || !binds[who]) throw new Error(`not a line of the table: ${line}`);
  const s = { id: `MQTT-${id}`, version, says, binds: binds[who] };
  return how.startsWith('- ') ? { ...s, unseen: how.slice(2) } : { ...s, test: tests[how] ?? how };
});
export const statements = [...read('3.1.1', v311), ...read('5.0', v5)];

// ---- how many there are ------------------------------------------------------

const to = (n, from = 1) => Array.from({ length: n - from + 1 }, (_, i) => from + i);
/** Numbers of each section as in the appendices B of the standards. */
export const sections = {
  '3.1.1': {
    '1.5.3': to(3), '2.2.2': to(2), '2.3.1': to(7), '3.1.0': to(2), '3.1.2': to(24), '3.1.3': to(11), '3.1.4': to(5), '3.2.0': to(1), '3.2.2': to(6),
    '3.3.1': to(12), '3.3.2': to(3), '3.3.4': to(1), '3.3.5': to(2), '3.6.1': to(1), '3.8.1': to(1), '3.8.3': to(4), '3.8.4': to(6), '3.9.3': to(2),
    '3.10.1': to(1), '3.10.3': to(2), '3.10.4': to(6), '3.12.4': to(1), '3.14.1': to(1), '3.14.4': to(3), '4.1.0': to(2), '4.3.1': to(1), '4.3.2': to(2),
    '4.3.3': to(2), '4.4.0': to(1), '4.5.0': to(2), '4.6.0': to(6), '4.7.1': to(3), '4.7.2': to(1), '4.7.3': to(4), '4.8.0': to(2), '6.0.0': to(4),
    '7.0.0': to(2), '7.1.1': to(1), '7.1.2': to(1),
  },
  '5.0': {
    '1.5.4': to(3), '1.5.5': to(1), '1.5.7': to(1), '2.1.3': to(1), '2.2.1': to(6, 2), '2.2.2': to(1), '3.1.0': to(2), '3.1.2': to(30), '3.1.3': to(12),
    '3.1.4': to(6), '3.2.0': to(2), '3.2.2': to(22), '3.3.1': to(13), '3.3.2': to(20), '3.3.4': to(10), '3.4.2': to(3), '3.5.2': to(3), '3.6.1': to(1),
    '3.6.2': to(3), '3.7.2': to(3), '3.8.1': to(1), '3.8.3': to(5), '3.8.4': to(8), '3.9.2': to(2), '3.9.3': to(2), '3.10.1': to(1), '3.10.3': to(2),
    '3.10.4': to(6), '3.11.2': to(2), '3.11.3': to(2), '3.12.4': to(1), '3.14.0': to(1), '3.14.1': to(1), '3.14.2': to(4), '3.14.4': to(3), '3.15.1': to(1),
    '3.15.2': to(3), '4.1.0': to(2), '4.2.0': to(1), '4.3.1': to(1), '4.3.2': to(5), '4.3.3': to(13), '4.4.0': to(2), '4.5.0': to(2), '4.6.0': to(6),
    '4.7.0': to(1), '4.7.1': to(2), '4.7.2': to(1), '4.7.3': to(4), '4.8.2': to(6), '4.9.0': to(3), '4.12.0': to(7), '4.12.1': to(2), '4.13.1': to(1),
    '4.13.2': to(1), '6.0.0': to(4),
  },
};
