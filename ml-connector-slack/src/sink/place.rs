//! What a delivery becomes: a post, a reply, a change of a message, or words for one person.

use ml_connector_core::{
    Error, ErrorKind, Result,
    model::{Delivery, Follow, Interaction, LaneKey},
};

use crate::{
    blocks::{is_conversation, is_user},
    destination::{Goal, Target},
    models::MessageRef,
    sink::assignee::email,
};

/// Which call is made of a delivery, and where it leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// A message, or a reply to `parent`. Order and pace are those of `target`.
    Post { target: Target, parent: Option<MessageRef> },
    /// Another content for a message in the conversation of `target`.
    Update { message: MessageRef, target: Target },
    /// A message for one person only.
    Ephemeral { channel: String, user: String },
}

impl Place {
    /// Where a delivery leads, given the admins' channel.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] when the destination makes no sense, or not for this event;
    /// [`ErrorKind::ConfigInvalid`] when there is no channel for admins.
    pub(crate) fn of(delivery: &Delivery, admin: Option<&Target>) -> Result<Self> {
        let target = match Goal::parse(&delivery.destination)? {
            Goal::Post(target) => target,
            Goal::Admin => admin.cloned().ok_or_else(|| {
                Error::new(ErrorKind::ConfigInvalid, "no admin channel is set: give one to Builder::admin")
            })?,
            Goal::Assignee(fallback) => match email(delivery).flatten() {
                Some(email) => Target::Assignee { email, fallback: Box::new(fallback) },
                None => fallback,
            },
            Goal::Clicker => return clicker(delivery),
            Goal::Message(message) => {
                let target = Target::Conversation(message.channel.clone());
                return Ok(Self::Update { message, target });
            }
            Goal::Thread(parent) => {
                let target = Target::Conversation(parent.channel.clone());
                return Ok(Self::Post { target, parent: Some(parent) });
            }
        };
        // A root that is no message, because it went to one person only, leads nowhere.
        let root = delivery.root.as_ref().and_then(|root| root.reference.parse().ok());
        Ok(match (delivery.follow.filter(|_| !delivery.digest), root) {
            (Some(Follow::Update), Some(message)) => Self::Update { message, target },
            (Some(_), Some(parent)) => Self::Post { target, parent: Some(parent) },
            _ => Self::Post { target, parent: None },
        })
    }

    /// Posts of one conversation keep their order. A change of a message waits for other changes of it only, words to
    /// a person for other words to them, a digest for its own time.
    pub(crate) fn lane(&self, delivery: &Delivery) -> LaneKey {
        LaneKey::new(match self {
            Self::Post { target, .. } if delivery.digest => {
                format!("digest:{}:{}", delivery.route, target.key())
            }
            Self::Post { target, .. } => target.key(),
            Self::Update { message: MessageRef { channel, ts }, .. } => format!("update:{channel}:{ts}"),
            Self::Ephemeral { user, .. } => format!("ephemeral:{user}"),
        })
    }
}

/// The person who clicked, and where.
fn clicker(delivery: &Delivery) -> Result<Place> {
    let refused = |message| Error::new(ErrorKind::InvalidRequest, message);
    if delivery.digest {
        return Err(refused("a digest has no clicker: many people may have clicked"));
    }
    let actor = delivery.event.interaction().and_then(Interaction::actor);
    let place = actor.and_then(|actor| Some((actor, actor.place.as_deref()?)));
    let (actor, place) = place.ok_or_else(|| refused("the event does not say who clicked where"))?;
    let channel = place.split_once('/').map_or(place, |(channel, _)| channel);
    if is_conversation(channel) && is_user(&actor.id) {
        return Ok(Place::Ephemeral { channel: channel.to_owned(), user: actor.id.to_string() });
    }
    Err(refused("expected a person and a message of Slack as the event's actor and place"))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, sync::Arc};

    use ml_connector_core::{
        Timestamp,
        model::{Actor, Change, DeliveryId, Destination, EntityRef, Event, PrivateAnswer, Reply, Root, Seq},
    };

    use super::*;
    use crate::destination::{admin, channel, clicker, email, message, thread, user};

    const ROOT: &str = "C07ACCTNG1/1767225605.000219";

    fn delivery(to: Destination) -> Delivery {
        let now = Timestamp::default();
        let changes = BTreeSet::from([Change::Paid]);
        let event = Event::new("books".into(), EntityRef::new("invoice", "1"), 2, changes, now, None);
        Delivery::new(Seq(7), DeliveryId::generate(now), to, "alerts", Arc::new(event), now)
    }

    fn answered(place: Option<&str>, id: &str) -> Delivery {
        let mut delivery = delivery(clicker());
        let mut actor = Actor::new("slack", id);
        actor.place = place.map(Into::into);
        let answer = Interaction::Answer(PrivateAnswer::new(actor, Reply::Unknown, "not known"));
        Arc::make_mut(&mut delivery.event).content = Some(answer.into());
        delivery
    }

    fn lane(delivery: &Delivery) -> Result<String> {
        let target = Target::Named("ops".into());
        Ok(Place::of(delivery, Some(&target))?.lane(delivery).to_string())
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let mut digest = answered(Some(ROOT), "U07APPROV1");
        digest.digest = true;
        for wrong in [
            delivery("nowhere".into()),
            delivery(clicker()),
            answered(None, "U07APPROV1"),
            answered(Some("nowhere"), "U07APPROV1"),
            answered(Some(ROOT), "anna"),
            digest,
        ] {
            assert_eq!(lane(&wrong).unwrap_err().kind(), ErrorKind::InvalidRequest, "{wrong:?}");
        }
        let refused = Place::of(&delivery(admin()), None).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConfigInvalid);
    }

    #[test]
    fn every_form_has_a_lane_of_its_own() {
        let root: MessageRef = ROOT.parse().unwrap();
        for (to, expected) in [
            (channel("C07ACCTNG1"), "channel:C07ACCTNG1"),
            (channel("accounting"), "channel:accounting"),
            (user("U07APPROV1"), "user:U07APPROV1"),
            (admin(), "channel:ops"),
            (thread(&root), "channel:C07ACCTNG1"),
            (message(&root), "update:C07ACCTNG1:1767225605.000219"),
        ] {
            assert_eq!(lane(&delivery(to)).unwrap(), expected);
        }
        assert!(lane(&delivery(email("anna@x.example"))).unwrap().starts_with("email:"));
        assert_eq!(lane(&answered(Some(ROOT), "U07APPROV1")).unwrap(), "ephemeral:U07APPROV1");
        assert_eq!(lane(&answered(Some("D07APPROV1"), "U07APPROV1")).unwrap(), "ephemeral:U07APPROV1");
        let mut digest = delivery(channel("accounting"));
        digest.digest = true;
        assert_eq!(lane(&digest).unwrap(), "digest:alerts:channel:accounting");
    }

    #[test]
    fn a_followed_record_goes_on_from_its_first_message() {
        let told = |follow, reference: Option<&str>| {
            let mut delivery = delivery(channel("accounting"));
            delivery.follow = follow;
            delivery.root = reference.map(|reference| Root { reference: reference.into(), n: 1 });
            Place::of(&delivery, None).unwrap()
        };
        let target = Target::Named("accounting".into());
        let post = |parent| Place::Post { target: target.clone(), parent };
        let root: MessageRef = ROOT.parse().unwrap();
        assert_eq!(told(Some(Follow::Thread), Some(ROOT)), post(Some(root.clone())));
        let update = Place::Update { message: root, target: target.clone() };
        assert_eq!(told(Some(Follow::Update), Some(ROOT)), update);
        assert_eq!(told(Some(Follow::Thread), None), post(None));
        assert_eq!(told(Some(Follow::Update), None), post(None));
        assert_eq!(told(None, Some(ROOT)), post(None));
        assert_eq!(told(Some(Follow::Thread), Some("ephemeral:C07ACCTNG1/1767225605.000219")), post(None));
    }
}
