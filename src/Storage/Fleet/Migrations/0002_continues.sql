-- The dump whose part this is, where another node began it and nodes share no directory; null for what began here.
alter table netdump.sessions add column continues text;
alter table netdump.dumps add column continues text;
create index dumps_continues on netdump.dumps (continues) where continues is not null;
