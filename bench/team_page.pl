# What a team's page costs, alone and beside a million open rows of others: in a session that has shown one before, and the
# first one of a session, which plans it.
use strict;
use warnings;
use utf8;
use PgSeats::Bench;
use PgSeats::Session;
use Time::HiRes qw(time);

my $million = sized(1_000_000, 100_000);
my $rounds = sized(10, 3);
my $pages = 200;
my $sessions = sized(5, 3);
my $question = q{SELECT length(seats.team_page('acme', 'olga')::text)};

my @servers;
foreach my $name ('alone', 'others')
{
	my $simulator = light_simulator();
	my $server = bench_server($name, $simulator);
	set_up_team($server, $simulator);
	push @servers, { server => $server };
}
load_others($servers[1]{server});
say_line('team_page: a team of 21 members, 5 invites, 3 open changes and 12 settled ones');
foreach my $one (@servers)
{
	$one->{asked} = PgSeats::Session->new($one->{server});
	$one->{pid} = $one->{asked}->sql('SELECT pg_backend_pid()');
	$one->{asked}->sql($question) foreach 1 .. 20;
}
my $done = 0;
while ($done < $rounds && ($done < 1 || seconds_left() > 30))
{
	measure($_) foreach @servers;
	$done++;
}
title("seats.team_page, as its caller waits for it, and processor time of the server; $done rounds of $pages");
print_table(
	[ '', 'median ms', 'p99 ms', 'processor ms', 'first of a session, ms' ],
	row('alone', $servers[0]), row("beside $million open rows of others", $servers[1]));

sub row
{
	my ($name, $one) = @_;
	return [ $name, number(median(@{ $one->{warm} }), 2), number(percentile(0.99, @{ $one->{warm} }), 2),
		number(median(@{ $one->{processor} }), 2), number(median(@{ $one->{first} }), 1) ];
}

sub set_up_team
{
	my ($server, $simulator) = @_;
	my $session = $server->{bench_session};
	$simulator->control('POST', '/subscriptions', {
		id => 'sub_acme', customer => 'cus_acme', items => [ { id => 'si', price => 'price_team', unit_amount => 1000, quantity => 5 } ] });
	$simulator->control('POST', '/limits', { subscriptions => JSON::PP::false() });
	$session->sql(q{SELECT seats.define_seat_type('team', '{price_team}', largest_total => 100, largest_unconfirmed => 50)});
	$session->sql(q{SELECT seats.register_team('acme', 'sub_acme')});
	wait_until(sub { $session->sql(q{SELECT count(*) FROM seats.teams WHERE confirmed = 5}) == 1 }, 'the subscription to be read');
	$session->sql(q{SELECT seats.add_member('acme', 'olga', role => 'owner')});
	$session->sql(q{SELECT seats.add_member('acme', 'member ' || n) FROM generate_series(1, 20) AS n});
	$session->sql(q{SELECT seats.invite('acme', 'guest ' || n, NULL) FROM generate_series(1, 5) AS n});
	foreach my $verb (('add_seats', 'remove_seats') x 6)
	{
		$session->sql("SELECT seats.$verb('acme', 'team', 1, 'olga')");
		wait_until(sub { $session->sql(q{SELECT count(*) FROM seats_internal.outbox}) == 0 }, 'the change to be settled', pause => 0.02);
	}
	$session->sql(q{SELECT seats.pause('stripe', 'what is open stays so')});
	$session->sql(q{SELECT seats.add_seats('acme', 'team', 1, 'olga')}) foreach 1 .. 3;
	return;
}

# Lanes with ten rows each.
sub load_others
{
	my ($server) = @_;
	my $session = $server->{bench_session};
	my $lanes = $million / 10;
	$session->sql("INSERT INTO seats_internal.lane (destination, name) SELECT 'stripe', 'other ' || g FROM generate_series(1, $lanes) AS g");
	my $first = $session->sql(q{SELECT min(id) FROM seats_internal.lane WHERE name LIKE 'other %'});
	load_calls($server, $million, { lane_id => "$first + g % $lanes", due_at => "now() + interval '1 day'" });
	$session->sql('ANALYZE');
	$session->sql('CHECKPOINT');
	return;
}

sub measure
{
	my ($one) = @_;
	my $before = processor_time($one->{pid});
	push @{ $one->{warm} }, milliseconds($one->{asked}) foreach 1 .. $pages;
	push @{ $one->{processor} }, (processor_time($one->{pid}) - $before) * 1000 / $pages;
	foreach (1 .. $sessions)
	{
		my $new = PgSeats::Session->new($one->{server});
		$new->sql('SELECT 1');
		push @{ $one->{first} }, milliseconds($new);
	}
	return;
}

sub milliseconds
{
	my ($asked) = @_;
	my $began = time;
	$asked->sql($question);
	return (time - $began) * 1000;
}
