"""The live demo of the example shop.

`run` tells the story and keeps the order: database, migrate, mail server, site, worker, visitors, account.
`config` reads the environment, `database` and `children` start what must be started and always end it again,
`mailserver` really receives the welcome mails and refuses some on purpose, `visitors` sign up over HTTP and write
down what the site answered, `tables` reads the shop's tables, `board` shows the numbers while they change, and
`account` compares the three independent records (HTTP answers, received mails, job rows) when all is over.
"""
